//! Everything a batch has to say, over as many calls as it takes.

use super::away::Patience;
use crate::{client::Client, failure::Failure};
use muster_proto::v1::{WatchBatchRequest, WatchBatchResponse, watch_batch_response::Message};
use std::time::Duration;
use tonic::Streaming;

/// A batch that is watched from its beginning.
#[derive(Debug)]
pub(super) struct Watch {
    client: Client,
    name: String,
    /// Of the last message that was given.
    token: String,
    patience: Patience,
    answers: Option<Streaming<WatchBatchResponse>>,
}

impl Watch {
    pub(super) fn new(client: &Client, name: &str, patience: Duration) -> Self {
        Self {
            client: client.clone(),
            name: name.to_owned(),
            token: String::new(),
            patience: Patience::new(patience),
            answers: None,
        }
    }

    /// Where an acknowledgement reaches to: all that was given.
    pub(super) fn token(&self) -> &str {
        &self.token
    }

    /// The next message; a call that is cut goes on behind the last one. Nothing is lost when this is dropped unfinished.
    pub(super) async fn next(&mut self) -> Result<Message, Failure> {
        loop {
            match self.attempt().await {
                Ok(Some(message)) => return Ok(message),
                Ok(None) => {}
                Err(failure) => {
                    self.answers = None;
                    self.patience.wait(failure).await?;
                }
            }
        }
    }

    async fn attempt(&mut self) -> Result<Option<Message>, Failure> {
        let answers = match &mut self.answers {
            Some(answers) => answers,
            None => {
                let request = WatchBatchRequest {
                    name: self.name.clone(),
                    resume_token: self.token.clone(),
                };
                let mut service = self.client.manifests.clone();
                let answers = service.watch_batch(request).await?.into_inner();
                self.answers.insert(answers)
            }
        };
        // Only a summary ends what a batch has to say.
        let Some(answer) = answers.message().await? else {
            return Err(tonic::Status::unavailable("the answers were cut").into());
        };
        self.patience.answered();
        if !answer.resume_token.is_empty() {
            self.token = answer.resume_token;
        }
        Ok(answer.message)
    }
}
