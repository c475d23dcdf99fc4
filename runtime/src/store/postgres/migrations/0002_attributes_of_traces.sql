-- The bits of all attributes of a trace's spans; null for those that were stored before.
alter table trace_summaries add column attributes bit(1024);
