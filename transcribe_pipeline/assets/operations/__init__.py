"""What admins look at: assets about the installation, not about one recording. A module for each concern."""
