"""The only door to the compiled module `anabranch._native`: one module for each library."""
