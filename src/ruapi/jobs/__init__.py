"""What a server does by itself, beside answering."""
