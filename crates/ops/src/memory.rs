/// Keeps freed memory in the process instead of giving it back to the system.
///
/// Every training step frees and allocates the same hundreds of megabytes of feature maps and gradients.
/// By default glibc maps each large block anew, and the system clears it page by page: about a tenth of
/// a step's processor time. For a program to call before it starts threads, since they then share one heap:
/// several small networks trained at once would rather have their own. Elsewhere than on glibc it does
/// nothing.
pub fn keep_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: `mallopt` takes two integers and changes the allocator's settings under its own lock;
        // memory that is already allocated stays valid.
        #[allow(unsafe_code)]
        unsafe {
            libc::mallopt(libc::M_ARENA_MAX, 1); // threads' own arenas cannot hold blocks of this size
            libc::mallopt(libc::M_MMAP_MAX, 0); // no block has a mapping of its own
            libc::mallopt(libc::M_TRIM_THRESHOLD, -1); // nothing is given back
        }
    }
}

/// Gives back the memory that [`keep_memory`] has kept and nothing uses.
pub fn release_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: `malloc_trim` takes an integer and gives back free pages alone, under the allocator's own lock.
        #[allow(unsafe_code)]
        unsafe {
            libc::malloc_trim(0);
        }
    }
}

/// Bytes of memory and swap that this process may use, where Linux tells: the machine's, or its control group's memory.
pub(crate) fn machine_memory() -> Option<u64> {
    let table = std::fs::read_to_string("/proc/meminfo").ok()?;
    let kibibytes = |key: &str| -> Option<u64> {
        let line = table.lines().find_map(|line| line.strip_prefix(key))?;
        line.trim().strip_suffix("kB")?.trim().parse().ok()
    };
    let machine = 1024 * (kibibytes("MemTotal:")? + kibibytes("SwapTotal:").unwrap_or(0));
    // Versions 2 and 1 of control groups; "max" and huge numbers mean no limit.
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
