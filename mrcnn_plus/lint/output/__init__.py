"""Reports of the linter as text, JSON, SARIF, Markdown and HTML, and the pages about the rules.

text    for the terminal            markdown   for a pull request      sarif   for code hosts and editors
html    a page about a data set     changes    changed settings        rule_pages   what each rule is for
"""
