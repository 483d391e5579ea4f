//! The target `records` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| drop((fleetwright_tests::fuzz::RECORDS.run)(input)));
