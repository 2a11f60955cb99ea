//! The functions of a module, called by `web/js/module.js`.
//!
//! A request's bytes go to the address that [`input`] returns. A request returns 0, or 1 for an error. Its answer, or the error,
//! is then at [`text`], and arrays of numbers at [`floats`]. After a panic the text is its message, and the instance is lost.

// The names are exported from WebAssembly alone: elsewhere `open` would replace that of the C library.
#![allow(unsafe_code)]

use std::cell::{Cell, RefCell};

use crate::{Answer, Answered};

thread_local! {
    static INPUT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static ANSWER: RefCell<Answer> = const { RefCell::new(Answer { text: String::new(), floats: Vec::new() }) };
    static PANICS_ARE_KEPT: Cell<bool> = const { Cell::new(false) };
}

/// Makes room for a request's bytes and returns its address.
#[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
pub extern "C" fn input(length: usize) -> *mut u8 {
    begin();
    INPUT.with_borrow_mut(|input| {
        *input = vec![0; length];
        input.as_mut_ptr()
    })
}

/// Returns the address of the answer's text.
#[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
pub extern "C" fn text() -> *const u8 {
    ANSWER.with_borrow(|answer| answer.text.as_ptr())
}

/// Returns the number of bytes of the answer's text.
#[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
pub extern "C" fn text_length() -> usize {
    ANSWER.with_borrow(|answer| answer.text.len())
}

/// Returns the address of the answer's numbers.
#[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
pub extern "C" fn floats() -> *const f32 {
    ANSWER.with_borrow(|answer| answer.floats.as_ptr())
}

/// Returns the count of the answer's numbers.
#[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
pub extern "C" fn floats_length() -> usize {
    ANSWER.with_borrow(|answer| answer.floats.len())
}

/// Forgets the last answer, which must not stay as that of a request that traps, and keeps the message of a panic.
fn begin() {
    ANSWER.take();
    if !PANICS_ARE_KEPT.replace(true) {
        std::panic::set_hook(Box::new(|panic| {
            ANSWER.with_borrow_mut(|answer| answer.text = one_line(&panic.to_string()));
        }));
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Does a request with its bytes and keeps the answer.
fn answer(request: impl FnOnce(Vec<u8>) -> Answered) -> u32 {
    begin();
    let answered = request(INPUT.take());
    let failed = answered.is_err();
    let kept =
        answered.unwrap_or_else(|error| Answer { text: one_line(&error.to_string()), floats: Vec::new() });
    ANSWER.set(kept);
    u32::from(failed)
}

/// The requests of the racing module.
#[cfg(feature = "race")]
pub mod race {
    use std::cell::RefCell;

    use super::answer;
    use crate::race::Racer;
    use crate::{catalogue, compare};

    thread_local! {
        static RACER: RefCell<Racer> = RefCell::default();
    }

    /// Lists the ablations and their arms: [`catalogue::catalogue`].
    #[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
    pub extern "C" fn list() -> u32 {
        answer(|bytes| catalogue::catalogue(&bytes))
    }

    /// Compares two arms over seeds: [`compare::compare`].
    #[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
    pub extern "C" fn compare() -> u32 {
        answer(|bytes| compare::compare(&bytes))
    }

    /// Takes a file of the data set: [`Racer::file`].
    #[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
    pub extern "C" fn file() -> u32 {
        answer(|bytes| RACER.with_borrow_mut(|racer| racer.file(bytes)))
    }

    /// Reads the data set: [`Racer::data`].
    #[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
    pub extern "C" fn data() -> u32 {
        answer(|bytes| RACER.with_borrow_mut(|racer| racer.data(&bytes)))
    }

    /// Begins a training: [`Racer::open`].
    #[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
    pub extern "C" fn open() -> u32 {
        answer(|bytes| RACER.with_borrow_mut(|racer| racer.open(&bytes)))
    }

    /// Trains: [`Racer::advance`].
    #[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
    pub extern "C" fn advance(steps: usize) -> u32 {
        answer(|_| RACER.with_borrow_mut(|racer| racer.advance(steps)))
    }

    /// Tests: [`Racer::test`].
    #[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
    pub extern "C" fn test() -> u32 {
        answer(|_| RACER.with_borrow_mut(|racer| racer.test()))
    }

    /// Returns the kernels of conv1: [`Racer::kernels`].
    #[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
    pub extern "C" fn kernels() -> u32 {
        answer(|_| RACER.with_borrow_mut(|racer| racer.kernels()))
    }

    /// Shows an image to the network: [`Racer::maps`].
    #[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
    pub extern "C" fn maps(image: usize) -> u32 {
        answer(|_| RACER.with_borrow_mut(|racer| racer.maps(image)))
    }
}

/// The requests of the looking module.
#[cfg(feature = "look")]
pub mod look {
    use std::cell::RefCell;

    use super::answer;
    use crate::look::Looker;

    thread_local! {
        static LOOKER: RefCell<Looker> = RefCell::default();
    }

    /// Takes the name of the next file: [`Looker::name`].
    #[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
    pub extern "C" fn name() -> u32 {
        answer(|bytes| LOOKER.with_borrow_mut(|looker| looker.name(bytes)))
    }

    /// Reads weights: [`Looker::weights`].
    #[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
    pub extern "C" fn weights() -> u32 {
        answer(|bytes| LOOKER.with_borrow_mut(|looker| looker.weights(bytes)))
    }

    /// Returns the kernels of the first layer: [`Looker::kernels`].
    #[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
    pub extern "C" fn conv1() -> u32 {
        answer(|_| LOOKER.with_borrow(Looker::kernels))
    }

    /// Empties the gallery: [`Looker::empty`].
    #[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
    pub extern "C" fn empty() -> u32 {
        answer(|_| LOOKER.with_borrow_mut(|looker| Ok(looker.empty())))
    }

    /// Adds an image to the gallery: [`Looker::gallery`].
    #[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
    pub extern "C" fn gallery(side: usize) -> u32 {
        answer(|bytes| LOOKER.with_borrow_mut(|looker| looker.gallery(&bytes, side)))
    }

    /// Finds the nearest images of the gallery: [`Looker::nearest`].
    #[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
    pub extern "C" fn nearest(count: usize) -> u32 {
        answer(|_| LOOKER.with_borrow(|looker| looker.nearest(count)))
    }

    /// Shows a photograph to the network: [`Looker::photograph`].
    #[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
    pub extern "C" fn photograph() -> u32 {
        answer(|bytes| LOOKER.with_borrow_mut(|looker| looker.photograph(&bytes)))
    }

    /// Finds evidence by covering: [`Looker::occlusion`].
    #[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
    pub extern "C" fn occlusion(places: usize) -> u32 {
        answer(|_| LOOKER.with_borrow(|looker| looker.occlusion(places)))
    }

    /// Finds evidence by gradients: [`Looker::saliency`].
    #[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
    pub extern "C" fn saliency() -> u32 {
        answer(|_| LOOKER.with_borrow(Looker::saliency))
    }
}
