"""The command line: one file per noun, each imported when its command is called."""
