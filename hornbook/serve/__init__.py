"""The server: OpenAI's API over the engine, and a page to look at models and runs.

Reading order: worker.py (the thread that owns the engines), app.py (what answers where),
chat.py and completions.py; the page is under page/, what it asks for under look/.
"""
