/// Keeps freed memory in the process instead of returning it to the system.
///
/// Every training step frees and allocates the same hundreds of megabytes of feature maps and gradients. By
/// default glibc maps each large block anew and the system clears its pages, which takes about a tenth of a
/// step's processor time. Call this before starting threads. It does nothing on systems without glibc.
pub fn keep_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get() as libc::c_int);
        // SAFETY: `mallopt` takes two integers and changes the allocator's settings under its own lock;
        // memory that is already allocated stays valid.
        #[allow(unsafe_code)]
        unsafe {
            // A heap for each thread, since threads that share one wait for each other in small networks. The
            // largest blocks do not fit into a thread's own heap and go to the first.
            libc::mallopt(libc::M_ARENA_MAX, threads);
            libc::mallopt(libc::M_MMAP_MAX, 0); // no block has a mapping of its own
            libc::mallopt(libc::M_TRIM_THRESHOLD, -1); // no memory is returned
        }
    }
}

/// Returns unused memory that [`keep_memory`] has kept to the system.
pub fn release_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: `malloc_trim` takes an integer and returns only free pages, under the allocator's own lock.
        #[allow(unsafe_code)]
        unsafe {
            libc::malloc_trim(0);
        }
    }
}

/// Returns the bytes of memory and swap that this process may use, if Linux reports them. The limit is the
/// machine's or the control group's.
pub(crate) fn machine_memory() -> Option<u64> {
    let table = std::fs::read_to_string("/proc/meminfo").ok()?;
    let kibibytes = |key: &str| -> Option<u64> {
        let line = table.lines().find_map(|line| line.strip_prefix(key))?;
        line.trim().strip_suffix("kB")?.trim().parse().ok()
    };
    let machine = 1024 * (kibibytes("MemTotal:")? + kibibytes("SwapTotal:").unwrap_or(0));
    // Control groups version 2, then version 1. "max" and huge numbers mean no limit.
    let limits = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let limits = limits.iter().filter_map(|path| std::fs::read_to_string(path).ok()?.trim().parse().ok());
    Some(limits.fold(machine, u64::min))
}

#[cfg(test)]
mod tests {
    #[test]
    fn memory_in_use_is_neither_moved_nor_lost() {
        super::keep_memory();
        let kept: Vec<u64> = (0..100_000).collect();
        drop(vec![1u8; 10_000_000]);
        super::release_memory();
        assert!(kept.iter().enumerate().all(|(at, value)| at as u64 == *value));
    }
}
