"""Scripts that check and describe this repository. They are not part of the packages."""
