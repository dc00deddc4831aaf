"""Reports as pages for people: one file of HTML that needs nothing else, from the same numbers that the JSON has."""
