//! What every store must answer. Each function takes a store with a registry, two models and two sites.

mod approvals;
mod batches;
pub(super) mod catalog;
mod certificates;
mod changes;
mod claims;
mod codes;
mod devices;
mod groups;
mod imports;
mod late;
mod listing;
mod lists;
mod presence;
mod proofs;
mod records;
mod renewals;
mod secrets;
mod terms;
mod undo;
mod when;

macro_rules! conformance {
    ($($noun:ident: $($name:ident)*;)*) => {
        /// The embedded store.
        mod embedded {
            $($(
                #[tokio::test]
                async fn $name() {
                    let store = crate::store::tests::build::founded().await;
                    super::$noun::$name(&store).await;
                    crate::store::tests::build::sound(&store).await;
                }
            )*)*
        }
    };
}

conformance! {
    records:
        a_registry_is_made_once
        operators_are_unique_and_stay_known
        the_last_admin_stays
        operators_are_listed_by_name
        the_audit_log_is_contiguous
        whoever_waits_for_the_audit_log_hears_of_every_entry;
    catalog:
        resources_are_applied_all_or_none
        what_is_referred_to_must_be_there
        sites_make_no_circle
        naming_rules_are_replaced_as_a_whole
        every_revision_of_a_mapping_stays
        every_channel_of_a_policy_stays
        revisions_are_appended_only_when_they_differ
        validation_changes_nothing;
    secrets:
        revisions_are_put_in_turn_and_pinned
        a_retired_value_is_gone_and_stays_known;
    groups:
        members_are_added_and_removed_one_by_one
        only_static_groups_take_members
        a_device_is_in_a_few_groups;
    imports:
        a_row_becomes_a_device
        each_value_is_counted_on_its_own
        a_preview_answers_what_a_commit_does_and_changes_nothing
        the_same_file_again_changes_nothing
        a_part_is_committed_once_and_in_turn
        an_address_belongs_to_one_device
        rows_of_one_part_do_not_share_serials_or_addresses
        changed_rows_move_in_every_index
        serials_in_any_order_fill_every_index
        batches_are_listed_newest_first;
    batches:
        the_same_request_gives_the_same_batch
        a_batch_is_stepped_and_tells_why_not
        open_batches_are_found_until_their_results_are_kept
        a_part_is_told_as_often_as_it_is_asked_for
        acknowledged_results_lose_their_codes_and_keys
        mended_rows_join_their_batch
        a_row_stands_once_in_a_file
        a_row_that_moved_since_the_plan_is_left_alone
        a_whole_part_is_written_whole_or_not
        certificates_and_pinned_keys_come_with_rows;
    renewals:
        the_certificate_in_hand_is_good_until_the_next_is_seen
        a_lost_answer_to_a_renewal_is_given_again
        another_key_takes_the_place_of_an_unfinished_renewal
        a_renewal_keeps_to_what_claims_keep_to
        whoever_is_shut_out_does_not_renew
        renewals_are_ordered_and_done;
    undo:
        what_it_made_goes_and_what_it_changed_returns
        all_that_blocks_it_is_named_and_nothing_changes
        only_a_batch_at_its_end_is_taken_back
        devices_on_their_way_out_change_no_more
        an_undo_that_is_blocked_at_the_last_moment_is_abandoned
        an_undo_reaches_behind_every_attempt;
    terms:
        a_key_that_a_row_names_is_its_devices_alone
        a_blocked_key_is_bound_to_no_device
        terms_that_a_row_changes_are_audited_and_hold
        a_code_keeps_its_key_when_it_is_replaced
        an_undo_gives_keys_and_windows_back
        an_undo_takes_no_key_from_others;
    claims:
        a_claim_ends_in_a_certificate
        a_gateways_certificate_is_a_gateways
        a_lost_answer_is_given_again
        a_claim_cut_before_signing_goes_on_with_its_first_intent
        wrong_serial_wrong_code_and_used_code_get_one_answer
        a_second_key_is_refused_and_reported
        a_key_belongs_to_one_live_device
        nothing_is_issued_when_the_clock_went_back
        of_two_that_raced_the_first_recorded_counts
        a_claim_that_was_undone_is_not_finished
        a_serial_is_not_used_twice;
    certificates:
        pages_cover_every_certificate_once
        a_device_without_its_certificate_waits_for_a_new_code
        a_claim_that_began_is_revoked_with_its_intent
        a_compromised_key_is_blocked_for_ever
        an_operator_without_a_certificate_is_disabled
        every_revocation_is_audited_once;
    devices:
        a_device_is_found_by_id_and_serial
        another_content_raises_the_generation_once
        an_etag_of_the_past_changes_nothing
        a_suspended_device_does_not_connect_and_returns
        a_retired_device_never_returns
        operators_do_not_make_the_steps_of_claims
        a_new_code_replaces_the_old_one
        a_report_activates_and_is_judged
        a_hello_tells_whether_to_send
        a_hello_that_says_nothing_new_is_not_written
        the_barred_are_not_heard;
    approvals:
        rules_are_replaced_as_a_whole_and_audited
        a_plan_needs_what_rules_ask_then_or_now;
    changes:
        a_change_goes_through_its_stages
        the_same_request_gives_the_same_change
        a_plan_that_was_cut_is_void
        a_device_is_in_one_change
        budgets_and_paces_are_kept
        a_device_that_moved_on_has_its_turn_again
        targets_are_listed_page_by_page
        a_device_that_is_taken_back_is_left_out;
    lists:
        a_list_is_taken_in_parts;
    when:
        nothing_is_begun_before_its_time
        a_target_is_begun_within_its_own_window
        a_plan_is_zoned_as_sites_have_windows_then
        labels_are_about_configuration_and_firmware
        what_is_not_as_planned_is_left_out;
    proofs:
        failures_halt_a_change_and_devices_get_back_what_they_had
        the_silent_are_timed_out_and_tried_again
        a_halt_that_is_accepted_goes_on
        lives_are_changed_in_bulk_and_back
        a_new_certificate_is_proved_by_its_use
        a_certificate_asked_for_before_the_order_proves_nothing;
    listing:
        pages_cover_every_device_once
        filters_find_what_evaluation_finds
        a_scan_ends_at_its_limit;
    presence:
        a_device_comes_and_goes
        only_the_newest_session_says_that_a_device_left
        what_happens_during_a_flush_is_not_lost
        the_connected_are_found_without_a_scan
        a_device_that_is_taken_back_leaves_no_presence;
    codes:
        codes_are_given_once_and_told_until_they_are_kept
        whoever_claimed_since_the_plan_keeps_its_certificate
        a_claimed_device_claims_anew_where_that_is_wanted
        codes_stay_when_a_change_is_ended_or_its_devices_taken
        codes_that_nobody_keeps_expire;
    late:
        devices_join_late_once_and_as_many_as_may
        an_urgent_change_lets_those_join_that_another_one_holds
        what_falls_back_is_sent_once_more_after_the_end
        whoever_takes_a_device_ends_its_repair;
}
