//! Freed memory is used again. A program of its own: the allocator is the whole process's, and must be
//! told before there are threads.

fn main() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        alexnet_ops::keep_memory();
        linux::assert_reused();
        std::thread::spawn(linux::assert_reused).join().expect("a thread finds it too");
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod linux {
    /// Pages that this thread was the first to touch.
    fn page_faults() -> usize {
        let status = std::fs::read_to_string("/proc/thread-self/stat").expect("Linux keeps it");
        let fields = status.rsplit(')').next().expect("fields after the name in parentheses");
        fields.split_whitespace().nth(7).expect("minor faults").parse().expect("a number")
    }

    pub(super) fn assert_reused() {
        const PAGES: usize = 32 << 10; // 128 MiB
        let touch = || {
            let before = page_faults();
            drop(std::hint::black_box(vec![1u8; PAGES * 4096]));
            page_faults() - before
        };
        let first = touch();
        let again = touch();
        assert!(again < PAGES / 100, "{again} page faults, {first} the first time");
    }
}
