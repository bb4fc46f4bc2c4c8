"""What a person types: one module a verb, each with run(argv) -> exit status."""
