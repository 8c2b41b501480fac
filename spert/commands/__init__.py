"""The commands of `spert`, one a file. Heavy imports stand inside of the functions: `spert --help` answers at once."""
