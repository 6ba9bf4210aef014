#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| espnet3_par::fuzzing::audio(bytes));
