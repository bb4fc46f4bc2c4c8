"""The CDI document: its records, names, text form, validation, and which device a runtime resolves to which file."""
