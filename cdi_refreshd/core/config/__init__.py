"""What can be configured: settings with defaults, the keys of the files, the options of the generator."""
