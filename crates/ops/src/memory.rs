/// Keeps freed memory in the process instead of returning it to the system.
///
/// Every training step frees and allocates the same hundreds of megabytes of feature maps and gradients. By
/// default glibc maps each large block anew and the system clears its pages, which takes about a tenth of a
/// step's processor time. Call this before starting threads, since they then share one heap. Do not use it to
/// train several small networks at once: separate heaps suit them better. It does nothing on systems without
/// glibc.
pub fn keep_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: `mallopt` takes two integers and changes the allocator's settings under its own lock;
        // memory that is already allocated stays valid.
        #[allow(unsafe_code)]
        unsafe {
            libc::mallopt(libc::M_ARENA_MAX, 1); // threads' own arenas cannot hold blocks of this size
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
pub fn machine_memory() -> Option<u64> {
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
