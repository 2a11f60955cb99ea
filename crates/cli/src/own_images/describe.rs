//! What is said about images of one's own before training.

use alexnet_train::{Data, RunConfig};

use crate::output::note;

/// The number of images of a class below which trained weights are advised.
const FEW_OF_A_CLASS: usize = 500;

/// Says what was read, how it is divided and what is trained. With `advise`, also proposes trained weights for few images.
pub(crate) fn describe(data: &Data, config: &RunConfig, advise: bool) {
    let set = &data.dataset;
    let all = set.train.len() + set.validation.len() + set.test.len();
    let side = config.network.input.size;
    let sides = match set.original_sides {
        Some([width, height]) => format!(" of {width}×{height} on average"),
        None => String::new(),
    };
    let cut = if set.size == side { String::new() } else { format!(", crops of {side}") };
    note(&format!("{} classes, {all} images{sides}, resized to {}{cut}", set.classes.len(), set.size));
    let test = if set.test_set_aside { "set aside for the test" } else { "for the test" };
    note(&format!(
        "{} to train on, {} set aside for validation, {} {test}",
        set.train.len(),
        set.validation.len(),
        set.test.len()
    ));
    if set.unused > 0 {
        note(&format!(
            "the {} images of `val` are not used: there is `test`, and validation takes training images",
            set.unused
        ));
    }
    let recipe = &config.recipe;
    note(&format!(
        "network `{}`, epochs: {}, images in a batch: {}, learning rate: {}",
        config.network.name, recipe.epochs, recipe.batch_size, recipe.learning_rate
    ));
    let mut of_class = vec![0; set.classes.len()];
    (0..set.train.len()).for_each(|image| of_class[set.train.label(image)] += 1);
    if let Some((few, class)) = of_class.iter().zip(&set.classes).min()
        && *few < FEW_OF_A_CLASS
        && advise
    {
        note(&format!(
            "few images to train on ({few} of class `{class}`): weights that were trained on ImageNet usually do better, \
             `--from torchvision`"
        ));
    }
}
