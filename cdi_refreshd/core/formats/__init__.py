"""File formats of the operating system: ELF, ld.so.cache, shell patterns."""
