"""The record of a run: one HTML file with everything that a reader asks, or one panel as a picture.

| module | what it does |
|---|---|
| `record` | reads a run once, from its first event to its last |
| `svg` | writes SVG elements in which every text is text |
| `look` | the style sheet of charts and grids, from a theme |
| `axis` | ticks of linear and logarithmic axes |
| `curves` | line charts with envelope, mean line, marks and gaps |
| `grids` | the grids of a sample beside each other |
| `panels` | which pictures there are, by name |
| `page` | the HTML around them |
| `tables` | its tables |
| `picture` | SVG and PNG files |
"""
