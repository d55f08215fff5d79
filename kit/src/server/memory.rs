//! What the allocator of the C library has to be told.

/// glibc gives what is free at the end of its heap back to the system as soon as that is 128 KiB, and takes it again for the next
/// message: a page fault for each 4 KiB of it, which took a third of the time of calls with 64 KB. It keeps twice the size of the
/// largest block that was ever mapped and freed ("dynamic mmap threshold" in mallopt(3)): one of this size is mapped, and freed.
/// Other allocators have their own ways, and are not bothered by one block.
const EXAMPLE: usize = 512 * 1024;

/// To be called once, before the first message.
pub(super) fn keep_what_messages_need() {
    drop(std::hint::black_box(Vec::<u8>::with_capacity(EXAMPLE)));
}
