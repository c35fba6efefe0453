"""Systems Manager: Run Command on the client machine."""
