//! The contract of the store, executed.
//!
//! Every promise of [`assistdeck::store::Store`] is one function with a sentence for a name, over
//! a [`world::World`]: a fresh store of some backend, with a sink that records. [`every_promise`]
//! makes a test of each for one backend; another backend calls it with its own home. What only one
//! backend promises is in its own file (`sqlite`, `postgres`).

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod accounts;
mod appends;
mod deletion;
mod moving;
mod order;
mod pages;
mod participants;
mod postgres;
mod refusals;
mod repeats;
mod sessions;
mod sqlite;
mod tokens;
mod unread;
mod upkeep;
mod world;

/// Makes a test of each promise, for stores that live in what `$home` makes.
macro_rules! every_promise {
    ($home:path) => {
        crate::store::promises! { $home;
            accounts: [
                an_account_is_found_by_its_id_and_by_its_email_in_any_case,
                an_email_is_given_once_in_any_case,
                a_user_id_is_given_once,
                accounts_come_in_the_order_of_their_ids,
                a_new_password_ends_older_tokens_only_when_told_so,
                of_changes_of_one_password_the_first_counts,
                disabling_ends_all_tokens_and_enabling_brings_none_back,
                nothing_is_changed_for_an_unknown_user,
            ]
            tokens: [
                revocations_are_numbered_in_their_order_and_kept,
                a_token_is_revoked_by_its_id,
                a_ticket_is_taken_once,
                a_ticket_is_worth_nothing_after_its_end,
            ]
            sessions: [
                a_new_session_has_its_owner_and_no_events,
                a_session_is_made_for_an_existing_user_only,
                access_tells_members_from_strangers,
                sessions_are_listed_by_their_last_event_newest_first,
                a_list_of_sessions_comes_in_pages,
                an_unknown_session_is_no_place_to_go_on_from,
                a_list_shows_the_last_message_that_is_not_deleted,
                a_read_mark_only_grows_and_never_passes_the_head,
            ]
            participants: [
                the_owner_comes_first_and_then_the_others_as_they_came,
                the_list_of_participants_comes_in_pages,
                an_unknown_row_is_no_place_to_go_on_from,
                members_are_counted_and_named,
                who_is_added_has_read_everything,
                who_is_added_again_has_a_new_row_and_sees_the_whole_log,
            ]
            appends: [
                a_message_is_stored_as_it_was_sent,
                an_edit_keeps_the_place_and_changes_the_content,
                an_edit_that_changes_nothing_is_an_event_too,
                a_participant_is_added_and_removed_by_events,
                a_participant_leaves_by_an_event,
                a_title_is_changed_by_an_event,
                the_log_is_what_the_sink_was_given,
            ]
            refusals: [
                a_session_that_never_was_refuses_everybody,
                a_stranger_is_refused_before_anything_else_is_looked_at,
                a_participant_is_refused_what_is_the_owners_before_anything_inside,
                what_is_inside_is_refused_by_its_own_name,
                a_message_is_edited_by_its_sender_only,
                a_message_is_deleted_by_its_sender_or_the_owner_only,
                a_message_of_another_session_is_not_found,
                a_deleted_session_refuses_everybody,
                a_refusal_changes_nothing,
            ]
            order: [
                numbers_are_dense_in_every_session_whoever_sends_at_the_same_time,
                appends_are_taken_in_the_order_of_the_calls,
                a_refused_append_fails_alone,
                a_message_queued_behind_its_senders_removal_is_refused,
                a_message_queued_behind_its_senders_arrival_is_taken,
                a_message_queued_behind_the_sessions_end_is_refused,
                nothing_is_answered_before_the_sink_says_so,
                what_was_answered_is_there_after_a_reopening,
                numbers_go_on_after_a_reopening,
            ]
            repeats: [
                a_repeat_is_answered_with_the_stored_message,
                a_repeat_is_found_within_its_own_batch,
                a_repeat_is_found_after_a_reopening,
                a_repeat_has_the_messages_present_form,
                other_contents_under_the_same_client_id_are_refused,
                a_client_id_belongs_to_its_session_and_sender,
                a_repeat_of_a_deleted_message_is_refused,
                messages_without_client_id_are_never_repeats,
            ]
            pages: [
                messages_are_for_members,
                pages_of_the_log_join_without_hole_or_overlap,
                a_page_of_the_log_ends_at_its_bytes,
                one_item_always_fits,
                there_is_no_log_of_an_unknown_session,
                a_position_beyond_the_head_has_no_events,
                messages_are_read_from_either_end_and_from_between,
                pages_of_messages_end_at_their_bytes_at_the_far_end,
                a_page_knows_whether_there_is_more,
                a_message_is_found_in_its_own_session_only,
                the_heads_of_many_sessions_are_read_at_once,
            ]
            deletion: [
                events_of_a_deleted_message_replay_as_deletions_under_their_own_numbers,
                a_deleted_message_is_in_no_page_of_messages,
                a_deleted_session_is_gone_at_once_and_its_members_are_still_known,
                a_deleted_session_is_purged_behind_and_stays_deleted,
                a_purge_goes_on_after_a_reopening,
                a_purge_leaves_other_sessions_alone,
            ]
            unread: [
                messages_of_others_above_the_mark_are_unread,
                unread_messages_are_counted_to_a_thousand,
                unread_counts_are_those_of_a_naive_model,
            ]
            upkeep: [
                the_epoch_is_kept_until_it_is_renewed,
                a_new_store_is_healthy,
                room_for_appends_is_bounded_and_comes_back,
                a_closed_store_answers_that_it_is_unavailable,
                closing_commits_what_was_queued,
            ]
        }
    };
}

macro_rules! promises {
    ($home:path; $($noun:ident: [$($promise:ident,)+])+) => {
        $(mod $noun {
            $(#[tokio::test]
            async fn $promise() {
                let world = crate::store::world::World::new(Box::new($home())).await;
                crate::store::$noun::$promise(world).await;
            })+
        })+
    };
}

use {every_promise, promises};
