"""Orders, invoices and users of many laundries, with what each of them may do decided by Leasehold, in process."""
