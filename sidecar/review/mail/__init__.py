"""Counts the mail log of Postfix as pflogsumm does, in bounded memory."""
