"""What proves who someone is and what keeps secrets: API keys, passwords, files, sealing."""
