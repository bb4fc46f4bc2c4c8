"""What users install: unit files, man pages, completions, and (`make deb-test`) the Debian package itself."""
