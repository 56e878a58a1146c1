-- Locks the layout and gives what its change must be judged by.
SELECT change_id, epoch FROM layout FOR UPDATE
