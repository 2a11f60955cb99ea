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
