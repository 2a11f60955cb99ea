use super::*;
use std::fs;
use std::path::Path;

/// Made by `tests/golden/meta.py` with scipy: four classes whose numbers are not in the order of their ids, and
/// an inner node.
const META: &[u8] = include_bytes!("../../../../../tests/golden/meta.mat");

fn write(root: &Path, name: &str, bytes: impl AsRef<[u8]>) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn kit(root: &Path, truth: &str) {
    write(root, "ILSVRC2012_devkit_t12/data/meta.mat", META);
    write(root, &format!("ILSVRC2012_devkit_t12/data/{GROUND_TRUTH}"), truth);
}

fn read_folder(root: &Path) -> Result<Source, String> {
    read(&Arc::new(Files::open(root).unwrap())).map_err(|error| error.to_string())
}

#[test]
fn the_kits_numbers_become_places_among_the_sorted_ids() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    // By number: 1 n02119789, 2 n01440764, 3 n02100735, 4 n01443537; sorted: 1440764, 1443537, 2100735, 2119789.
    kit(root, "3\n1\n4\n2\n");
    for number in 1..=4 {
        write(root, &format!("ILSVRC2012_img_val/ILSVRC2012_val_0000000{number}.JPEG"), "x");
    }
    let source = read_folder(root).unwrap();
    let ids: Vec<&str> = source.classes.iter().map(|class| class.id.as_str()).collect();
    assert_eq!(ids, ["n01440764", "n01443537", "n02100735", "n02119789"]);
    assert_eq!(source.classes[0].name, "tench, Tinca tinca");
    assert_eq!((source.splits[0].0.as_str(), &source.splits[0].1.labels[..]), ("val", &[2, 3, 1, 0][..]));

    // The same, with training images of only three classes.
    for wnid in ["n01440764", "n02100735", "n02119789"] {
        write(root, &format!("train/{wnid}/{wnid}_1.JPEG"), "x");
    }
    let error = read_folder(root).unwrap_err();
    assert!(error.contains("val_00000003.JPEG: is of class n01443537, which is not among the 3"), "{error}");
    write(root, "train/n01443537/n01443537_9.JPEG", "x");
    let source = read_folder(root).unwrap();
    assert_eq!(source.splits[0].1.labels, [0, 1, 2, 3]);
    assert_eq!(source.splits[1].1.labels, [2, 3, 1, 0]);
}

#[test]
fn validation_images_in_class_folders_need_no_kit() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for (wnid, number) in [("n02100735", 1), ("n01440764", 2)] {
        write(root, &format!("train/{wnid}/{wnid}_1.JPEG"), "x");
        write(root, &format!("val/{wnid}/ILSVRC2012_val_0000000{number}.JPEG"), "x");
    }
    write(root, "LOC_synset_mapping.txt", "n01440764 tench, Tinca tinca\nn02100735 English setter\n");
    let source = read_folder(root).unwrap();
    assert_eq!(source.splits[1].1.labels, [1, 0]);
    assert_eq!(source.classes[1].name, "English setter");
    write(root, "val/ILSVRC2012_val_00000003.JPEG", "x");
    let error = read_folder(root).unwrap_err();
    assert!(
        error.contains("val_00000003.JPEG: the labels of validation images are in the development kit"),
        "{error}"
    );
}

#[test]
fn boxes_come_from_annotations_of_the_same_name() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    kit(root, "2\n");
    write(root, "ILSVRC2012_img_val/ILSVRC2012_val_00000001.JPEG", "x");
    write(root, "train/n01440764/n01440764_1.JPEG", "x");
    let one = "<annotation><object><bndbox><xmin>3</xmin><ymin>4</ymin><xmax>50</xmax><ymax>60</ymax></bndbox></object></annotation>";
    write(root, "bbox/val/ILSVRC2012_val_00000001.xml", one);
    let source = read_folder(root).unwrap();
    assert_eq!(source.splits[0].1.boxes, [Vec::<BoundingBox>::new()]);
    assert_eq!(source.splits[1].1.boxes, [[[3.0, 4.0, 50.0, 60.0]]]);
    for (broken, expected) in
        [(&one[..40], "broken XML"), ("<a><bndbox><xmin>3</xmin></bndbox></a>", "without")]
    {
        write(root, "bbox/val/ILSVRC2012_val_00000001.xml", broken);
        let error = read_folder(root).unwrap_err();
        assert!(error.contains(expected) && error.contains("00000001.xml"), "{error}");
    }
}

#[test]
fn labels_out_of_range_and_missing_ones_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write(root, "val/ILSVRC2012_val_00000002.JPEG", "x");
    for (truth, expected) in [
        ("1\n7\n", "line 2: class 7 is not in meta.mat"),
        ("1\nx\n", "line 2: `x` is no class"),
        ("1\n", "val_00000002.JPEG: ILSVRC2012_validation_ground_truth.txt has 1 lines"),
        ("5\n1\n", "line 1: class 5 is not in meta.mat"),
    ] {
        kit(root, truth);
        let error = read_folder(root).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
    write(root, "ILSVRC2012_devkit_t12/data/meta.mat", &META[..META.len() / 2]);
    assert!(read_folder(root).unwrap_err().contains("meta.mat: "));
}
