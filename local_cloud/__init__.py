"""The cloud on your own machine: real servers where they can be had, small stand-ins where they cannot."""
