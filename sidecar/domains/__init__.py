"""Refused sender domains: the two Postfix maps that hold them, their rules, and who may be refused."""
