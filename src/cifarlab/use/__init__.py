"""A trained net in use: predictions of files, exports, a page, its pictures."""
