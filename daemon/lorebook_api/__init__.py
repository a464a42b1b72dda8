"""The contract between the daemon and whoever asks it: bodies on the wire, client, discovery."""
