"""The JSON API: the same things as the pages, for programs such as a RIS. One table of operations makes both the
addresses and their OpenAPI document.
"""
