//! What each code of the identity platform means, and what to do.

/// Cause and next step of a code; without a known code, of an `error`.
pub(super) fn explain(code: Option<u64>, error: &str) -> &'static str {
    match code.unwrap_or_default() {
        7000215 => {
            "the client secret is wrong, often because the secret's ID was copied instead of its \
             value; put the value of a client secret into `client_secret`"
        }
        7000222 => {
            "the client secret has expired; create a new one in the app registration and put its \
             value into `client_secret`"
        }
        700016 => {
            "there is no app with this client id in this tenant; check `client_id` and `tenant_id`"
        }
        7000229 => {
            "the app is registered but has no service principal in this tenant; have an \
             administrator of the tenant consent to the app, or create its enterprise application"
        }
        7000112 => "the app is disabled in this tenant; enable its enterprise application",
        7000218 => {
            "the request came without the proof of who the app is, perhaps cut by a proxy; check \
             `credential` and what belongs to it, and any proxy in between"
        }
        90094 => {
            "an administrator has not consented to the app's permissions; have an administrator \
             of the tenant grant admin consent in the app registration"
        }
        900023 => {
            "`tenant_id` is neither a GUID nor a domain; put the directory (tenant) ID of the app \
             registration's overview there"
        }
        500022 | 5000224 | 5000225 => {
            "the tenant is blocked, or its sign-in is closed to this app: disabled for inactivity \
             or by Microsoft, or by a tenant restriction of the network; ask Microsoft's support, \
             or the people who run the network"
        }
        500014 => {
            "the service that the token is for is disabled in this tenant; enable the enterprise \
             application that the answer names"
        }
        50196 => {
            "Microsoft took the requests for a loop and refuses them for a while; it is asked \
             again at a slow pace, see what else signs in with this `client_id`"
        }
        53000 | 53001 | 530004 => {
            "a Conditional Access policy of the tenant wants a managed device, which an app has \
             not; exempt the app from the policy"
        }
        90002 => {
            "there is no such tenant in this cloud; check `tenant_id`, and `login_url` if the \
             tenant is in a national cloud"
        }
        700027 => {
            "the signature of the app's certificate is not accepted; upload the certificate that \
             is in the settings to the app registration, and check `client_id`"
        }
        700024 => {
            "the app's proof is not valid at this time; set the clock of this machine right, and where \
             it is a federated token, see that the platform renews its file"
        }
        700025 => {
            "the app is a public client, which may not use a secret or certificate; switch `Allow \
             public client flows` off in the app registration"
        }
        70021 | 700211..=700213 => {
            "the app does not trust the federated token; check issuer, subject and audience \
             (`api://AzureADTokenExchange`) of the federated credential in the app registration"
        }
        500011 | 50001 => {
            "the tenant does not know the service that the token is for; check that it has \
             Exchange Online, and that the addresses in the settings belong to its cloud"
        }
        70011 | 28002 => {
            "the service that the token is for is not accepted; check the address of the service \
             in the settings"
        }
        53003 => {
            "a Conditional Access policy of the tenant blocks the app; exempt it, or allow the \
             address it signs in from"
        }
        50034 => {
            "the account is not in this directory; check that `tenant_id` and `client_id` belong \
             together"
        }
        9001023 => {
            "an app cannot sign in to `common` or `consumers`; put the GUID or domain of the \
             tenant into `tenant_id`"
        }
        900144 => {
            "a part of the request is missing, perhaps cut by a proxy; check that no setting of \
             the sign-in is empty"
        }
        _ => match error {
            "invalid_client" => {
                "the app's credential is not accepted; check `client_id` and the client secret or \
                 certificate"
            }
            "unauthorized_client" => {
                "the app is not known or not allowed here; check `client_id` and `tenant_id`"
            }
            "invalid_scope" | "invalid_resource" | "invalid_target" => {
                "the service that the token is for is not accepted; check the address of the \
                 service in the settings"
            }
            _ => {
                "the request for a token is not accepted; check `tenant_id`, `client_id`, the \
                 credential and `login_url`"
            }
        },
    }
}

/// Cause and next step of a code that is about an account, or about an app in its name; none when it
/// means the same as for an app.
pub(super) fn of_the_account(code: u64) -> Option<&'static str> {
    Some(match code {
        50126 => {
            "the name or the password of the account is wrong; check `account_name` and \
             `account_password`. An account whose password is kept by another sign-in service, such as \
             AD FS, cannot sign in like this"
        }
        50034 | 51004 => {
            "there is no such account in this tenant; check `account_name` and `tenant_id`"
        }
        50053 => {
            "the account is locked after too many wrong passwords, or sign-in from this address is \
             blocked; unlock it in Microsoft Entra, and see what else uses it"
        }
        50055 | 50144 => {
            "the password of the account has expired; set a new one that does not expire, and put it \
             into `account_password`"
        }
        50056 => {
            "the cloud has no password of this account, since another sign-in service keeps it; use an \
             account of the cloud, or an app with the trigger `message_trace_graph`"
        }
        50057 => "the account is disabled; enable it, or use another one in `account_name`",
        50076 | 50079 | 50158 => {
            "a second factor is asked for, which nobody can give here, so that this way is closed; use \
             an app with the trigger `message_trace_graph`, or exempt the account from the policy"
        }
        53000 | 53001 | 53003 | 530004 => {
            "a Conditional Access policy of the tenant forbids this sign-in; use an app with the trigger \
             `message_trace_graph`, or exempt the account from the policy"
        }
        50105 => {
            "the account may not use the app; assign it to the enterprise application, or switch off \
             that assignment is required"
        }
        50020 | 50107 | 500200 => {
            "this is no account of the tenant: a guest, a personal account, or one of another sign-in \
             service; use an account of the tenant in `account_name`"
        }
        65001 => {
            "nobody has consented to the app's delegated permission; have an administrator grant consent \
             in the app registration that `client_id` names"
        }
        7000218 => {
            "the app does not allow sign-in with a password without its own secret; switch `Allow public \
             client flows` on in the app registration, or put a client secret into `client_secret`"
        }
        _ => return None,
    })
}
