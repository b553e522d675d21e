"""Writes chat.json: conversations as transformers' apply_chat_template renders and encodes them.

    SIMDFORMER_MODELS=../models python test/tokenizers/make_chat.py

The templates of chat-templates/ have the forms of ChatML, Llama 3, Mistral, Gemma and Qwen 3, and one has the features
of Jinja that others use; SmolLM2's own comes from its file, which scripts/models.py fetches.
"""

import datetime
import json
import os
import pathlib

import jinja2
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

HERE = pathlib.Path(__file__).parent
MODELS = pathlib.Path(os.environ['SIMDFORMER_MODELS'])

weather = {
    'type': 'function',
    'function': {
        'name': 'get_weather',
        'description': "What the weather is like. Näheres: \"today\" or 'tomorrow' <b>&amp;</b>",
        'parameters': {
            'type': 'object',
            'properties': {
                'city': {'type': 'string', 'description': 'A city, such as Zürich or 東京'},
                'unit': {'type': 'string', 'enum': ['celsius', 'fahrenheit']},
                'days': {'type': 'integer', 'minimum': 1, 'default': 2.5},
            },
            'required': ['city'],
        },
    },
}
clock = {'type': 'function', 'function': {'name': 'now', 'description': 'The time', 'parameters': {'type': 'object', 'properties': {}}}}


def said(role, content, **more):
    return {'role': role, 'content': content, **more}


def call(name, arguments, id='call00001'):
    return {'id': id, 'type': 'function', 'function': {'name': name, 'arguments': arguments}}


hello = [said('user', ' Hello!\n')]
turns = [
    said('system', 'You are terse.\n'),
    said('user', 'Is 3 > 2? 😀 {{ no }}'),
    said('assistant', '<think>\nIt is.\n</think>\n\nYes.'),
    said('user', 'Why?\r\nTell  me.'),
]
called = [
    said('user', 'How warm is it in Zürich?'),
    said('assistant', None, tool_calls=[call('get_weather', {'city': 'Zürich', 'days': 2})]),
    said('tool', '{"celsius": 21.5}', name='get_weather', tool_call_id='call00001'),
    said('assistant', '21.5 °C.'),
    said('user', 'And now the time.'),
]
parallel = [
    said('system', 'You call.'),
    said('user', 'Weather in Rome and 東京?'),
    said('assistant', 'I look.', reasoning_content='Two calls.', tool_calls=[
        call('get_weather', {'city': 'Rome', 'unit': 'celsius'}, 'abcdefghi'), call('get_weather', {'city': '東京'}, 'jklmnopqr')]),
    said('tool', 'sunny', tool_call_id='abcdefghi'),
    said('tool', 'rain', tool_call_id='jklmnopqr'),
]
written = [said('user', 'Go'), said('assistant', None, tool_calls=[call('now', '{"zone": "UTC"}')])]
parts = [said('system', [{'type': 'text', 'text': 'Look.'}]), said('user', [{'type': 'image'}, {'type': 'text', 'text': ' What is it? '}])]
begun = [said('user', 'Count.'), said('assistant', 'One, two, ')]
reasoned = [said('user', 'Why?'), said('assistant', 'So.', reasoning='third', thinking='second'), said('user', 'Then?')]
twice = [said('user', 'a'), said('user', 'b')]

cases = [
    ('hello', hello, {}),
    ('hello, to be answered', hello, {'add_generation_prompt': True}),
    ('turns', turns, {}),
    ('turns, to be answered', turns, {'add_generation_prompt': True, 'enable_thinking': False}),
    ('a call', called, {'tools': [weather, clock], 'add_generation_prompt': True}),
    ('a call, tools in the system', called, {'tools': [weather], 'tools_in_user_message': False}),
    ('two calls', parallel, {'tools': [weather, clock], 'add_generation_prompt': True}),
    ('a call written as JSON', written, {'tools': [clock]}),
    ('parts', parts, {'add_generation_prompt': True}),
    ('to be continued', begun, {'continue_final_message': True}),
    ('twice the same role', twice, {}),
    ('reasoning by other names', reasoned, {}),
    ('documents', hello, {'documents': [{'title': 'A', 'text': 'a'}, {'title': 'B', 'text': 'b'}]}),
]
special = {'bos_token': '<s>', 'eos_token': '</s>', 'unk_token': '<unk>'}
control = ['<|im_start|>', '<|im_end|>', '<|start_header_id|>', '<|end_header_id|>', '<|eot_id|>', '<start_of_turn>',
           '<end_of_turn>', '[INST]', '[/INST]', '[TOOL_CALLS]']


def tokenizer_of():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=[*special.values(), *control], show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    paths = sorted(path for path in (HERE / 'chat-templates').iterdir() if path.stem != 'python')
    tokenizer.train_from_iterator([path.read_text() for path in paths], trainer)
    return tokenizer


def templates():
    for path in sorted((HERE / 'chat-templates').iterdir()):
        yield path.stem, path.read_text()
    smol = MODELS / 'smollm2-135m/SmolLM2-135M-Instruct.Q4_1.gguf'
    from gguf import GGUFReader

    yield 'smollm2', GGUFReader(smol).fields['tokenizer.chat_template'].contents()


def main():
    backend = tokenizer_of()
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=backend, **special)
    results = []
    for template, text in templates():
        tokenizer.chat_template = text
        for name, messages, options in cases:
            if template == 'python' and name not in ('hello', 'a call', 'parts', 'reasoning by other names'):
                continue  # writes the same again
            options = {'date_string': '26 Jul 2024', **options}
            try:
                rendered = tokenizer.apply_chat_template(messages, tokenize=False, **options)
                ids = tokenizer.apply_chat_template(messages, return_dict=False, **options)
                results.append({'template': template, 'case': name, 'text': rendered, 'ids': ids})
            except jinja2.UndefinedError as error:  # the template does not fit, as in the following
                print(f'left out: {template}, {name}: {error}')
            except jinja2.TemplateError as error:
                results.append({'template': template, 'case': name, 'refused': str(error)})
            except (TypeError, ValueError) as error:
                print(f'left out: {template}, {name}: {error}')
    date = datetime.datetime(2024, 3, 5, 9, 7, 3)
    formats = ['%d %b %Y', '%A, %B %d, %Y', '%a %y-%m-%e %H:%M:%S', '%I:%M %p', '%-d.%-m. %j %% %F %T']
    written = {
        'smollm2': dict(templates())['smollm2'],
        'special': special,
        'cases': {name: {'messages': messages, 'options': options} for name, messages, options in cases},
        'results': results,
        'dates': {'of': date.isoformat(), 'formats': {each: date.strftime(each) for each in formats}},
        'tokenizer': json.loads(backend.to_str()),
    }
    path = HERE / 'chat.json'
    path.write_text(json.dumps(written, ensure_ascii=False, indent=1) + '\n')
    print(len(results), 'results', path.stat().st_size, 'bytes')


if __name__ == '__main__':
    main()
