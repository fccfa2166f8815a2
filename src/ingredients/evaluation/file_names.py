"""Names of files in the folder of an evaluation, for who looks for them without measuring anything."""

RESULT_NAME = "result.json"
REPORT_NAME = "report.md"
HTML_NAME = "report.html"
