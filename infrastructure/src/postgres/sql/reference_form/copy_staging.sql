-- COPY's text form, in the order of the columns.
COPY reference_staging FROM STDIN
