-- Lists are answered by indexes alone: the rows of one service or operation lie far apart.
drop index execution_traces_service;
create index execution_traces_service on execution_traces (service_name, start_ns desc, trace_id);
drop index execution_traces_operation;
create index execution_traces_operation on execution_traces (operation_name, start_ns desc, service_name, trace_id);
drop index execution_traces_error;
create index execution_traces_error on execution_traces (start_ns desc, service_name, error_type, trace_id) where status = 2;

-- In the order of time instead of that of random ids, and with the bits of all attributes of its spans.
create table trace_summaries_in_time (
  trace_id blob not null,
  start_ns integer not null,
  end_ns integer not null,
  root_is_stored integer not null,
  root_start_ns integer not null,
  root_span_id integer not null,
  root_service text not null,
  root_operation text not null,
  root_status integer not null,
  span_count integer not null,
  error_count integer not null,
  services text not null,
  attributes blob
);
insert into trace_summaries_in_time
select trace_id, start_ns, end_ns, root_is_stored, root_start_ns, root_span_id, root_service, root_operation, root_status,
  span_count, error_count, services, null
from trace_summaries order by start_ns;
drop table trace_summaries;
alter table trace_summaries_in_time rename to trace_summaries;
create unique index trace_summaries_trace on trace_summaries (trace_id);
create index trace_summaries_start on trace_summaries (start_ns desc, trace_id desc);
