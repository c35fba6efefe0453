"""The way to the AWS emulator."""
