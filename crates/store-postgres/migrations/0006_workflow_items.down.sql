SET LOCAL ROLE leasehold_owner;
SET LOCAL search_path = leasehold, pg_temp;

DROP FUNCTION hq_transition(text, text, jsonb, text[], bigint, text, text, text),
    hq_move_item(text, text, jsonb, text[], bigint, text, text, text, text, text, bigint, text),
    hq_begin_move(text, text, jsonb, text[], bigint, text, text, text),
    hq_create_item(text, text, text, text, text, text),
    machine_of(text, text, text),
    write_move(text, item_move, text, bigint, text, text, text, jsonb, text, bytea, text),
    move_request(text, text, jsonb, text[], bigint, text), earlier_move(text, text, bytea), required_tenant(),
    check_move(text, text, jsonb, bigint, text, text, text), check_request(text, text), is_record_id(text),
    refuse_move(text, jsonb, text), hq_drop_idle_machines(), hq_place_machines(text[], jsonb), hq_put_machine(text),
    hq_missing_machines(bytea[]), guard_blockers(sys_machine_guards, text, jsonb), shown_inputs(jsonb, jsonb),
    shown_input(jsonb), input_fault(jsonb, text), is_integer(jsonb), shortened(text, integer), guard_sql(jsonb, jsonb),
    guard_operand_sql(jsonb, jsonb);
DROP TYPE begun_move, item_move;
DROP TABLE org_workflow_transition_log, org_workflow_items, org_workflow_machines, sys_machine_guards,
    sys_machine_transitions, sys_machine_stages, sys_machines;

RESET ROLE;
RESET search_path;
