"""A report as pages for people: what stands on them, the fonts, the PDF, and the same pages as pictures."""
