#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| alexnet_weights::fuzzing::read("onnx", bytes));
