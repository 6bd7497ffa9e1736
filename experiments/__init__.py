"""What measures this project itself; README.md says what each experiment measures."""
