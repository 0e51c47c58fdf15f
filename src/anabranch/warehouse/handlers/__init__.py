"""What runs statements: a module for each family, a class for each handler."""
