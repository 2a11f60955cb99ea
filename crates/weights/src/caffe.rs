//! Reads the weights in Caffe's binary files: `.caffemodel` and `mean.binaryproto` (caffe.proto).

use std::collections::BTreeMap;
use std::path::Path;

use prost::Message;

use crate::protobuf::{MANY, messages};
use crate::tensors::problem;
use crate::{Tensor, Weights, WeightsError};

/// `NetParameter`. Its layers have three forms: that of 2013, that of 2014, and the current one.
#[derive(Message)]
struct Net {
    #[prost(string, optional, tag = "1")]
    name: Option<String>,
    #[prost(message, repeated, tag = "2")]
    old_layers: Vec<OldLayer>,
    #[prost(message, repeated, tag = "100")]
    layers: Vec<Layer>,
}

/// `V1LayerParameter`, the form of the published models. `V0LayerParameter` occurs inside one that is otherwise
/// empty.
#[derive(Message)]
struct OldLayer {
    #[prost(message, optional, boxed, tag = "1")]
    oldest: Option<Box<OldestLayer>>,
    #[prost(string, optional, tag = "4")]
    name: Option<String>,
    #[prost(int32, optional, tag = "5")]
    kind: Option<i32>,
    #[prost(message, repeated, tag = "6")]
    blobs: Vec<Blob>,
}

/// `V0LayerParameter`.
#[derive(Message)]
struct OldestLayer {
    #[prost(string, optional, tag = "1")]
    name: Option<String>,
    #[prost(string, optional, tag = "2")]
    kind: Option<String>,
    #[prost(message, repeated, tag = "50")]
    blobs: Vec<Blob>,
}

/// `V1LayerParameter.LayerType`'s `LRN` and `POOLING`.
const OLD_KINDS: [(i32, &str); 2] = [(15, "LRN"), (17, "Pooling")];

/// The names of these in `V0LayerParameter`.
const OLDEST_KINDS: [(&str, &str); 2] = [("lrn", "LRN"), ("pool", "Pooling")];

impl OldLayer {
    /// Converts the layer to the current form. Only the kinds that distinguish the two networks are kept.
    fn today(self) -> Layer {
        let number = self.kind;
        let kind = OLD_KINDS.iter().find(|(old, _)| Some(*old) == number).map(|(_, kind)| (*kind).to_owned());
        match self.oldest {
            None => Layer { name: self.name, kind, blobs: self.blobs },
            Some(oldest) => {
                let kind = OLDEST_KINDS.iter().find(|(old, _)| oldest.kind.as_deref() == Some(*old));
                let kind = kind.map(|(_, kind)| (*kind).to_owned());
                Layer { name: oldest.name, kind, blobs: oldest.blobs }
            }
        }
    }
}

/// `LayerParameter`.
#[derive(Message)]
struct Layer {
    #[prost(string, optional, tag = "1")]
    name: Option<String>,
    #[prost(string, optional, tag = "2")]
    kind: Option<String>,
    #[prost(message, repeated, tag = "7")]
    blobs: Vec<Blob>,
}

/// `BlobProto`.
#[derive(Message)]
struct Blob {
    #[prost(int32, optional, tag = "1")]
    num: Option<i32>,
    #[prost(int32, optional, tag = "2")]
    channels: Option<i32>,
    #[prost(int32, optional, tag = "3")]
    height: Option<i32>,
    #[prost(int32, optional, tag = "4")]
    width: Option<i32>,
    #[prost(float, repeated, tag = "5")]
    data: Vec<f32>,
    #[prost(message, optional, tag = "7")]
    shape: Option<Shape>,
    #[prost(double, repeated, tag = "8")]
    double_data: Vec<f64>,
}

/// `BlobShape`.
#[derive(Message)]
struct Shape {
    #[prost(int64, repeated, tag = "1")]
    dim: Vec<i64>,
}

impl Blob {
    /// Converts the blob to a tensor. Leading extents of 1 in four-number shapes are removed.
    fn tensor(self) -> Result<Tensor, String> {
        let old = [self.num, self.channels, self.height, self.width].map(|n| i64::from(n.unwrap_or(1)));
        let (dims, padded) = match self.shape {
            Some(shape) => (shape.dim, false),
            None => (old.to_vec(), true),
        };
        let values = match self.data.is_empty() {
            true => self.double_data.into_iter().map(|value| value as f32).collect(),
            false => self.data,
        };
        let shape: Option<Vec<usize>> = dims.iter().map(|&n| usize::try_from(n).ok()).collect();
        let count = shape.as_ref().and_then(|s| s.iter().try_fold(1usize, |all, n| all.checked_mul(*n)));
        match (shape, count) {
            (Some(shape), Some(count)) if count == values.len() && count > 0 => {
                let ones = if padded { shape.iter().take_while(|n| **n == 1).count().min(3) } else { 0 };
                Ok(Tensor { shape: shape[ones..].to_vec(), values })
            }
            _ => Err(format!("has {} numbers for a shape of {dims:?}", values.len())),
        }
    }
}

/// The fields that are repeated messages: those of a net, of a layer, and of a layer of 2013.
const MESSAGES: [&[u32]; 3] = [&[2, 100], &[1, 6, 7], &[50]];

/// Reads a `.caffemodel`. Its first layer is converted from blue, green, red to red, green, blue.
pub(crate) fn read(path: &Path, bytes: &[u8]) -> Result<Weights, WeightsError> {
    let damaged =
        |error| problem(path, format!("neither PyTorch's, safetensors, ours nor Caffe's ({error})"));
    if messages(bytes, &MESSAGES) > MANY {
        return Err(problem(path, format!("has more than {MANY} layers and blobs")));
    }
    let net = Net::decode(bytes).map_err(damaged)?;
    let layers: Vec<Layer> = net.old_layers.into_iter().map(OldLayer::today).chain(net.layers).collect();
    let mut kinds = layers.iter().filter_map(|layer| layer.kind.as_deref());
    let first = kinds.find(|kind| OLD_KINDS.iter().any(|(_, known)| known == kind)).map(str::to_owned);
    let mut tensors = BTreeMap::new();
    let mut images = true;
    for Layer { name, blobs, .. } in layers {
        let name = name.unwrap_or_default();
        for (kind, blob) in ["weight", "bias"].into_iter().zip(blobs) {
            let tensor = format!("{name}.{kind}");
            let mut value =
                blob.tensor().map_err(|problem| WeightsError::Tensor { tensor: tensor.clone(), problem })?;
            if images && kind == "weight" {
                reverse_channels(&mut value);
                images = false;
            }
            if tensors.insert(tensor.clone(), value).is_some() {
                return Err(WeightsError::Tensor { tensor, problem: "is there twice".to_owned() });
            }
        }
    }
    if tensors.is_empty() {
        return Err(problem(path, "holds no layers with weights"));
    }
    let mut metadata = vec![("format", "caffe".to_owned()), ("name", net.name.unwrap_or_default())];
    metadata.extend(first.map(|kind| ("first", kind)));
    let metadata = metadata.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    Ok(Weights { tensors, metadata, ..Weights::default() })
}

/// Reads a `mean.binaryproto`: a mean image `[3, side, side]` in red, green, blue order.
///
/// # Errors
/// If the file cannot be read or is not a square image with three channels.
pub fn read_caffe_mean(path: &Path) -> Result<Vec<f32>, WeightsError> {
    let bytes = std::fs::read(path).map_err(|source| WeightsError::Io { path: path.to_owned(), source })?;
    mean(path, &bytes)
}

/// Reads the bytes of a `mean.binaryproto`.
pub(crate) fn mean(path: &Path, bytes: &[u8]) -> Result<Vec<f32>, WeightsError> {
    let blob = Blob::decode(bytes);
    let blob = blob.map_err(|error| problem(path, format!("no mean.binaryproto of Caffe's ({error})")))?;
    let mut mean = blob.tensor().map_err(|what| problem(path, what))?;
    match mean.shape.as_slice() {
        [3, height, width] | [1, 3, height, width] if height == width => {}
        other => return Err(problem(path, format!("a mean image of shape {other:?}, expected [3, n, n]"))),
    }
    let shape = [&[1][..], &mean.shape[mean.shape.len() - 3..]].concat();
    mean.shape = shape;
    reverse_channels(&mut mean);
    Ok(mean.values)
}

/// Reverses the second extent of `[filters, 3, height, width]`.
pub(crate) fn reverse_channels(tensor: &mut Tensor) {
    let [_, 3, height, width] = tensor.shape[..] else { return };
    let area = height * width;
    for filter in tensor.values.chunks_exact_mut(3 * area) {
        let (blue, rest) = filter.split_at_mut(area);
        blue.swap_with_slice(&mut rest[area..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(shape: &[i64], values: Vec<f32>) -> Blob {
        Blob { data: values, shape: Some(Shape { dim: shape.to_vec() }), ..Blob::default() }
    }

    fn numbers(count: usize) -> Vec<f32> {
        (0..count).map(|at| at as f32).collect()
    }

    #[test]
    fn all_forms_of_layers_give_the_same_weights_with_red_first() {
        let old_blob = |[num, channels, height, width]: [i32; 4], values: Vec<f32>| Blob {
            num: Some(num),
            channels: Some(channels),
            height: Some(height),
            width: Some(width),
            data: values,
            ..Blob::default()
        };
        let old = Net {
            name: Some("AlexNet".into()),
            old_layers: vec![
                OldLayer { name: Some("data".into()), kind: Some(5), ..OldLayer::default() },
                OldLayer { name: Some("norm1".into()), kind: Some(15), ..OldLayer::default() },
                OldLayer { name: Some("pool1".into()), kind: Some(17), ..OldLayer::default() },
                OldLayer {
                    name: Some("conv1".into()),
                    blobs: vec![old_blob([2, 3, 1, 2], numbers(12)), old_blob([1, 1, 1, 2], numbers(2))],
                    ..OldLayer::default()
                },
                OldLayer {
                    name: Some("fc8".into()),
                    blobs: vec![old_blob([1, 1, 2, 3], numbers(6)), old_blob([1, 1, 1, 2], numbers(2))],
                    ..OldLayer::default()
                },
            ],
            layers: vec![],
        };
        let new = Net {
            name: Some("AlexNet".into()),
            old_layers: vec![],
            layers: vec![
                Layer { name: Some("norm1".into()), kind: Some("LRN".into()), blobs: vec![] },
                Layer { name: Some("pool1".into()), kind: Some("Pooling".into()), blobs: vec![] },
                Layer {
                    name: Some("conv1".into()),
                    kind: Some("Convolution".into()),
                    blobs: vec![blob(&[2, 3, 1, 2], numbers(12)), blob(&[2], numbers(2))],
                },
                Layer {
                    name: Some("fc8".into()),
                    kind: None,
                    blobs: vec![blob(&[2, 3], numbers(6)), blob(&[2], numbers(2))],
                },
            ],
        };
        let oldest = |name: &str, kind: &str, blobs: Vec<Blob>| OldLayer {
            oldest: Some(Box::new(OldestLayer { name: Some(name.into()), kind: Some(kind.into()), blobs })),
            ..OldLayer::default()
        };
        // Numbers as f64, for nets that were trained in double precision.
        let wide = |blob: Blob| Blob {
            double_data: blob.data.iter().map(|value| f64::from(*value)).collect(),
            data: vec![],
            ..blob
        };
        let oldest = Net {
            name: Some("AlexNet".into()),
            old_layers: vec![
                oldest("norm1", "lrn", vec![]),
                oldest("pool1", "pool", vec![]),
                oldest(
                    "conv1",
                    "conv",
                    vec![old_blob([2, 3, 1, 2], numbers(12)), wide(old_blob([1, 1, 1, 2], numbers(2)))],
                ),
                oldest(
                    "fc8",
                    "innerproduct",
                    vec![wide(old_blob([1, 1, 2, 3], numbers(6))), old_blob([1, 1, 1, 2], numbers(2))],
                ),
            ],
            layers: vec![],
        };
        let path = Path::new("a.caffemodel");
        let read_old = read(path, &old.encode_to_vec()).unwrap();
        assert_eq!(read_old, read(path, &oldest.encode_to_vec()).unwrap());
        assert_eq!(read_old, read(path, &new.encode_to_vec()).unwrap());
        assert_eq!((&*read_old.metadata["name"], &*read_old.metadata["first"]), ("AlexNet", "LRN"));
        assert_eq!(read_old.tensors["conv1.weight"].shape, [2, 3, 1, 2]);
        let turned = [4.0, 5.0, 2.0, 3.0, 0.0, 1.0, 10.0, 11.0, 8.0, 9.0, 6.0, 7.0];
        assert_eq!(read_old.tensors["conv1.weight"].values, turned);
        assert_eq!(read_old.tensors["fc8.weight"], Tensor { shape: vec![2, 3], values: numbers(6) });
        assert_eq!(read_old.tensors["fc8.bias"].shape, [2]);
    }

    #[test]
    fn numbers_that_are_not_packed_are_read_too() {
        let packed = Net {
            layers: vec![Layer {
                name: Some("a".into()),
                kind: None,
                blobs: vec![blob(&[2], vec![1.0, -2.0])],
            }],
            ..Net::default()
        };
        // Each number and each extent has its own tag: a blob, its layer, the net.
        let single = vec![0x2d, 0, 0, 0x80, 0x3f, 0x2d, 0, 0, 0, 0xc0, 0x3a, 2, 0x08, 2];
        let layer = [&[0x0a, 1, b'a', 0x3a, single.len() as u8][..], &single].concat();
        let net = [&[0xa2, 0x06, layer.len() as u8][..], &layer].concat();
        let path = Path::new("a.caffemodel");
        assert_eq!(read(path, &net).unwrap(), read(path, &packed.encode_to_vec()).unwrap());
    }

    #[test]
    fn layers_and_blobs_without_end_are_an_error() {
        let blobs = |layer: u8, blob: u8, count: usize| {
            let inside = [blob, 0].repeat(count);
            let mut net = vec![layer];
            prost::encoding::encode_varint(inside.len() as u64, &mut net);
            [net, inside].concat()
        };
        for file in [[0x12, 0].repeat(MANY + 1), blobs(0x12, 0x32, MANY), [0xa2, 6, 0].repeat(MANY + 1)] {
            let error = read(Path::new("a.caffemodel"), &file).unwrap_err().to_string();
            assert!(error.ends_with("has more than 100000 layers and blobs"), "{error}");
        }
    }

    #[test]
    fn a_hostile_file_is_an_error_that_names_the_layer() {
        let path = Path::new("a.caffemodel");
        let of = |blob: Blob| Net {
            layers: vec![Layer { name: Some("conv1".into()), kind: None, blobs: vec![blob] }],
            ..Net::default()
        };
        let shapes = [(vec![i64::MAX, i64::MAX], 4), (vec![-1], 1), (vec![3], 2), (vec![5, 3, 0, 0], 0)];
        for (shape, values) in shapes {
            let error = read(path, &of(blob(&shape, numbers(values))).encode_to_vec()).unwrap_err();
            assert!(error.to_string().starts_with("tensor `conv1.weight`: has"), "{error}");
        }
        let file = of(blob(&[2, 2], numbers(4))).encode_to_vec();
        for length in 1..file.len() {
            assert!(read(path, &file[..length]).is_err(), "{length} bytes");
        }
        for at in 0..file.len() {
            let mut damaged = file.clone();
            damaged[at] ^= 0xff;
            let _ = read(path, &damaged);
        }
        let mut twice = of(blob(&[1], numbers(1)));
        let layer = Layer { name: Some("conv1".into()), kind: None, blobs: vec![blob(&[1], numbers(1))] };
        twice.layers.push(layer);
        assert!(read(path, &twice.encode_to_vec()).unwrap_err().to_string().contains("twice"));
    }

    #[test]
    fn a_mean_image_has_red_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mean.binaryproto");
        std::fs::write(&path, blob(&[1, 3, 2, 2], numbers(12)).encode_to_vec()).unwrap();
        let mean = read_caffe_mean(&path).unwrap();
        assert_eq!(mean, [8.0, 9.0, 10.0, 11.0, 4.0, 5.0, 6.0, 7.0, 0.0, 1.0, 2.0, 3.0]);
        std::fs::write(&path, blob(&[3, 2], numbers(6)).encode_to_vec()).unwrap();
        assert!(read_caffe_mean(&path).unwrap_err().to_string().contains("[3, 2]"));
    }
}
