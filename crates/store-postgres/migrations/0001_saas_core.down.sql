-- Roles stay: other databases of the cluster may have them.
DROP SCHEMA leasehold CASCADE;
