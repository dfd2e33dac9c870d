"""What builds the site from docs/ and from the files that its pages link: `make site`."""
